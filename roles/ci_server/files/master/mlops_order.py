"""Which request is built next: the oldest one of a branch that has nothing under way, so that a branch is built in its order.

A request waits in the queue for that, and not on a worker.
"""

from __future__ import annotations

from buildbot.process.buildrequest import BuildRequest
from buildbot.util.service import BuildbotService
from twisted.internet import defer


def branch_of(request):
    """The branch that a request is for."""
    return next((stamp.branch for stamp in request.sources.values()), None)


def choose(waiting, busy):
    """Of requests, the oldest one whose branch is not busy; None where all have to wait."""
    for request in sorted(waiting, key=lambda one: (-one.priority, one.id)):
        if branch_of(request) not in busy:
            return request
        # A later commit of this branch must not pass this one.
        busy = busy | {branch_of(request)}
    return None


@defer.inlineCallbacks
def next_build(builder, requests):
    """What Buildbot asks with all requests that nobody has claimed.

    A branch is busy while one of its requests is claimed and not complete. The builder's own list of builds does not tell: a build that
    lost its worker leaves that list a moment before its request is in the queue again, and its successor would slip in.
    """
    master = builder.master
    builderid = yield builder.getBuilderId()
    open_ones = yield master.db.buildrequests.getBuildRequests(builderid=builderid, complete=False)
    busy = set()
    for model in open_ones:
        if model.claimed_at is not None:
            request = yield BuildRequest.fromBrdict(master, model)
            busy.add(branch_of(request))
    return choose(requests, busy)


class Turns(BuildbotService):
    """Has Buildbot look at the queue when a request is complete: by itself it looks a moment earlier, when the worker is free."""

    name = "mlops-turns"
    consumer = None

    @defer.inlineCallbacks
    def startService(self):
        yield super().startService()
        self.consumer = yield self.master.mq.startConsuming(self.look, ("buildrequests", None, "complete"))

    @defer.inlineCallbacks
    def stopService(self):
        if self.consumer is not None:
            yield self.consumer.stopConsuming()
            self.consumer = None
        yield super().stopService()

    def look(self, _key, _message):
        self.master.botmaster.maybeStartBuildsForAllBuilders()
