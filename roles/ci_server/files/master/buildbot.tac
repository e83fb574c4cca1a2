# Managed by mlops.onprem (role ci_server): changes are overwritten.
# What twistd starts. The log goes to the journal. `buildbot upgrade-master` looks for these names and for these quotes.
from buildbot.master import BuildMaster
from twisted.application import service

basedir = '/var/lib/buildbot/master'
configfile = '/etc/buildbot/master.cfg'
application = service.Application('buildmaster')
BuildMaster(basedir, configfile, 0o027).setServiceParent(application)
