"""A server in use, made of files: two engines, a driver by hand, a proxy with a password, sources of all kinds."""

from __future__ import annotations

SECRETS = ("geheim", "t0psecret", "s3cretpass", "AbCd1234EfGh5678IjKl", "tokeninquery")

LISTEN = (
    " {slot}: {place} {peer} {state} 00000000:00000000 00:00000000 00000000  {uid}        0 {inode} 1 0 100 0 0 10 0"
)


def line(place: str, inode: int, state: str = "0A", uid: int = 0, peer: str = "00000000:0000") -> str:
    """A line of /proc/net/tcp."""
    return LISTEN.format(slot=inode, place=place, state=state, uid=uid, inode=inode, peer=peer)


DPKG = """Package: docker-ce
Status: hold ok installed
Version: 5:27.3.1

Package: nvidia-driver
Status: install ok half-configured
Version: 550.1-1
Description: a driver
 Status: not a field

Package: nginx
Status: install reinstreq unpacked
Version: 1.22

Package: hello
Status: hold ok installed
Version: 1

Package: man-db
Status: install ok triggers-pending
Version: 2

Package: unattended-upgrades
Status: install ok installed
Version: 2.9

Package: gone
Status: deinstall ok config-files
Version: 9
"""

DEB822 = """# a comment
Types: deb deb-src
URIs: https://mirror.example/debian
 https://second.example/AbCd1234EfGh5678IjKl/debian
Suites: bookworm
 bookworm-updates
Components: main

Types: deb
Enabled: no
URIs: http://off.example/
Suites: x

Types: deb-src
URIs: http://src.example/
Suites: x
"""

REPO = """[base]
name = Base
mirrorlist = https://mirrors.example/list?repo=base&key=tokeninquery
baseurl = http://never.example/
proxy = _none_
[gpu]
baseurl = http://gpu.example:8080/$site/
  https://gpu2.example/
enabled = 0
"""

SERVER: dict[str, str | bytes] = {
    "/etc/hostname": "gpu1",
    "/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 gpu1.example gpu1 # Debian\n",
    "/etc/resolv.conf": "# made by hand\nsearch example other.example\nnameserver 127.0.0.53\noptions edns0\n",
    "/run/systemd/resolve/resolv.conf": "nameserver 10.0.0.2\nnameserver fe80::1%eth0",
    "/etc/timezone": "Europe/Berlin",
    "/etc/environment": 'PATH="/bin"\nexport https_proxy="http://u:s3cretpass@proxy.example:3128"\nNO_PROXY=.example\n',
    "/etc/apt/apt.conf.d/80proxy": (
        'Acquire { http { Proxy "http://apt:geheim@cache.example:3142/"; Proxy::off.example "DIRECT"; }; };\n'
        '// Acquire::https::Proxy "http://commented.example";\nAPT::Periodic::Unattended-Upgrade "1";'
    ),
    "/etc/apt/apt.conf.d/90other.disabled": 'Acquire::http::Proxy "http://disabled.example";',
    "/etc/apt/sources.list": (
        "deb [signed-by=/k.gpg arch=amd64] http://user:t0psecret@private.example:8000/debian bookworm main\n"
        "deb cdrom:[Debian 12]/ bookworm main\n# deb http://commented.example/ x y\ndeb-src http://src.example/ x y"
    ),
    "/etc/apt/sources.list.d/debian.sources": DEB822,
    "/etc/yum.repos.d/base.repo": REPO,
    "/etc/dnf/vars/site": "berlin",
    "/etc/dnf/dnf.conf": "[main]\nproxy=http://d:geheim@dnf.example:3128\n",
    "/etc/pip.conf": (
        "[global]\nindex-url = https://u:geheim@pip.example/simple\nextra-index-url =\n  https://pip2.example/simple\n"
    ),
    "/var/lib/dpkg/status": DPKG,
    "/usr/bin/nvidia-uninstall": "#!",
    "/usr/bin/dockerd": "",
    "/usr/local/bin/k3s": "",
    "/usr/bin/podman": "",
    "/run/docker.sock": "",
    "/proc/net/unix": (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000: 00000002 00000000 00010000 0001 01  6497 /var/run/docker.sock\n"
        "0000: 00000003 00000000 00000000 0001 03  5711 /run/podman/podman.sock"
    ),
    "/proc/net/tcp": "\n".join(
        [
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
            line("0100007F:1538", 11, uid=104),
            line("00000000:01BB", 12),
            line("00000000:01BB", 13),
            line("0100007F:1538", 14, state="01", peer="0100007F:A000"),
        ]
    ),
    "/proc/net/tcp6": "\n".join(
        ["header", line("00000000000000000000000000000000:0016", 21, peer="0" * 32 + ":0000")]
        + [line("0000000000000000FFFF00000100007F:2382", 22, peer="0" * 32 + ":0000")]
    ),
    "/proc/net/udp": line("00000000:0044", 31, state="07") + "\n" + line("00000000:0045", 32, state="01"),
    "/proc/7/comm": "dockerd",
    "/proc/8/comm": "postgres",
    "/proc/8/fd/3": "-> socket:[11]",
    "/proc/9/comm": "chronyd",
    "/proc/10/comm": "systemd-timesyn",
    "/proc/sys/fs/file-max": "1000",
    "/proc/sys/fs/nr_open": "2000",
    "/proc/sys/user/max_user_namespaces": "5000",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    "/run/reboot-required": "",
    "/run/reboot-required.pkgs": "linux-image\nlinux-image\nlibc6",
    "/sys/fs/selinux/enforce": "1",
    "/sys/module/apparmor/parameters/enabled": "Y",
    "/etc/nftables.conf": "",
    "/etc/systemd/system/sysinit.target.wants/nftables.service": "-> /lib/systemd/system/nftables.service",
    "/etc/ufw/ufw.conf": "ENABLED=no",
}
