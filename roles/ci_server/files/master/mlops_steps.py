"""The steps of a build: the repository's own, as its pipeline file says."""

from __future__ import annotations

import mlops_pipeline
from buildbot.plugins import steps, util
from buildbot.process import buildstep
from buildbot.process.results import FAILURE, SKIPPED, SUCCESS
from buildbot.steps.worker import CompositeStepMixin
from twisted.internet import defer

MEBIBYTE = 1024 * 1024


class Command(steps.ShellCommand):
    """A command of the pipeline, which ends with its own time limit or with the build's."""

    # Training may say nothing for hours: only the limits of the pipeline count.
    timeout = None

    def __init__(self, limit, deadline, **more):
        super().__init__(**more)
        self.limit, self.deadline = limit, deadline

    @defer.inlineCallbacks
    def run(self):
        left = self.deadline - self.master.reactor.seconds()
        self.maxTime = max(1, min(left, self.limit or left))
        result = yield super().run()
        return result


class ReadPipeline(buildstep.BuildStep, CompositeStepMixin):
    """Reads the pipeline file of what was checked out, and appends its steps to the build. A mistake in it ends the build."""

    name = "pipeline"
    haltOnFailure = True
    flunkOnFailure = True

    def __init__(self, project, artifacts, **more):
        super().__init__(**more)
        self.project, self.artifacts = project, artifacts

    @defer.inlineCallbacks
    def say(self, problems, summary):
        log = yield self.addLog("problems")
        yield log.addStdout("".join(f"{problem}\n" for problem in problems))
        yield log.finish()
        self.descriptionDone = [summary[:200]]

    @defer.inlineCallbacks
    def run(self):
        path = self.project["pipeline"]
        text = yield self.getFileContentFromWorker(path)
        try:
            if text is None:
                raise mlops_pipeline.Wrong([f"{path}: the repository has no such file at this commit"])
            if isinstance(text, bytes):
                text = text.decode(errors="replace")
            pipeline = mlops_pipeline.parse(text, path)
            self.check(pipeline)
        except mlops_pipeline.Wrong as wrong:
            yield self.say(wrong.problems, wrong.problems[0])
            return FAILURE
        branch = self.getProperty("branch")
        self.build.addStepsAfterCurrentStep(self.steps_of(pipeline, branch))
        self.descriptionDone = [f"{len(pipeline.steps)} steps"]
        return SUCCESS

    def check(self, pipeline):
        """What a pipeline asks for must be what the server's configuration gives to this project."""
        allowed = self.project["promote_branches"]
        if pipeline.promote and pipeline.promote not in allowed:
            raise mlops_pipeline.Wrong(
                [
                    f"{self.project['pipeline']}: promote: {pipeline.promote}: the server promotes {', '.join(allowed) or 'no branch'}"
                    f" of {self.project['name']} (promote_branches in ci_server_projects)"
                ]
            )
        gpus = self.getProperty("gpus", 0)
        if pipeline.gpus > gpus:
            raise mlops_pipeline.Wrong(
                [
                    f"{self.project['pipeline']}: gpus: {pipeline.gpus}: the worker {self.getProperty('workername')} has {gpus}: give"
                    f" {self.project['name']} labels of workers that have them (ci_server_projects)"
                ]
            )

    def steps_of(self, pipeline, branch):
        promotes = pipeline.promote is not None and branch == pipeline.promote
        environment = {
            **pipeline.environment,
            **self.project["environment"],
            **self.secrets(promotes),
            "MLOPS_BRANCH": branch or "",
            "MLOPS_BUILD": str(self.getProperty("buildnumber")),
            "MLOPS_PROJECT": self.project["name"],
            "MLOPS_PROMOTE": "true" if promotes else "false",
            "MLOPS_REVISION": self.getProperty("got_revision") or "",
            "PYTHONUNBUFFERED": "1",
        }
        deadline = self.master.reactor.seconds() + pipeline.timeout
        found = [
            Command(
                name=step.name,
                command=["/bin/sh", "-euc", step.run],
                env=environment,
                workdir="build",
                limit=step.timeout,
                deadline=deadline,
                haltOnFailure=True,
                flunkOnFailure=True,
                # The environment has secrets, and those who read logs need none of it.
                logEnviron=False,
                doStepIf=promotes or not step.promote,
                hideStepIf=lambda results, step: results == SKIPPED,
            )
            for step in pipeline.steps
        ]
        if pipeline.artifacts:
            folder = f"{self.project['name']}/{self.getProperty('buildnumber')}"
            found.append(
                steps.MultipleFileUpload(
                    name="artifacts",
                    workersrcs=list(pipeline.artifacts),
                    masterdest=f"{self.artifacts['dir']}/{folder}",
                    url=f"{self.artifacts['url']}/{folder}/",
                    workdir="build",
                    glob=True,
                    mode=0o640,
                    maxsize=self.artifacts["max_mib"] * MEBIBYTE,
                    # A failed evaluation has a report, too.
                    alwaysRun=True,
                    haltOnFailure=False,
                    flunkOnFailure=False,
                    warnOnFailure=True,
                )
            )
        return found

    def secrets(self, promotes):
        """Secrets that are for promotion only are not there for other branches: whoever may push to those could read them."""
        return {
            secret["name"]: util.Secret(secret["file"])
            for secret in self.project["secrets"]
            if promotes or not secret["promote"]
        }
