"""No credential is shown, and a URL leads where it says."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.onprem.plugins.module_utils.hardware.tree import Tree
from ansible_collections.mlops.onprem.plugins.module_utils.survey.ini import apt_settings
from ansible_collections.mlops.onprem.plugins.module_utils.survey.proxies import Proxies
from ansible_collections.mlops.onprem.plugins.module_utils.survey.urls import address, masked
from hardware.trees import write
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@h/x", "http://***@h/x"),
        ("http://token@h/x", "http://***@h/x"),
        ("http://u:p@ss@h/x", "http://***@h/x"),
        ("http://u:p/ss@h/x", "http://***@h/x"),
        ("http://u:p?ss@h/x", "http://***@h/x"),
        ("http://u:p#ss@h/x", "http://***@h/x"),
        ("u:p@h:3128", "***@h:3128"),
        ("https://h/x?token=1#y", "https://h/x?***"),
        ("https://h/priv/0123456789abcdef0123/deb", "https://h/priv/***/deb"),
        ("https://h/12345678-1234-1234-1234-123456789abc/deb", "https://h/***/deb"),
        ("https://h/rhel-9-for-x86_64-baseos-rpms/", "https://h/rhel-9-for-x86_64-baseos-rpms/"),
        ("https://h/a\nb", "https://h/a?***"),
    ],
)
def test_masked(url, shown):
    assert masked(url) == shown


SECRET = st.text(st.characters(codec="ascii", exclude_characters="\n"), min_size=1, max_size=20).map(
    lambda t: f"zQ{t}Qz"
)


@given(user=SECRET, password=SECRET, scheme=st.sampled_from(["http://", "https://", "socks5h://", ""]))
def test_no_password_is_shown_whatever_is_in_it(user, password, scheme):
    shown = masked(f"{scheme}{user}:{password}@proxy.example:3128/path")
    assert "zQ" not in shown
    assert "Qz" not in shown


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://h/x", ("http", "h", 80)),
        ("https://u:p@h.example:8443/x", ("https", "h.example", 8443)),
        ("http://[fe80::1]:81/", ("http", "fe80::1", 81)),
        ("mirror+https://h/list", ("https", "h", 443)),
        ("mirror://h/list", ("http", "h", 80)),
        ("http://h:/", ("http", "h", 80)),
        ("http://h:0/", None),
        ("http://h:99999/", None),
        ("http://u:1234/ss@h", None),
        ("http://$host/x", None),
        ("file:/srv/x", None),
        ("file:///srv/x", None),
        ("cdrom:[x]/", None),
        ("https:///x", None),
        ("", None),
    ],
)
def test_address(url, place):
    assert address(url) == place


def test_a_proxy_without_scheme():
    assert address("proxy.example:3128", "http") == ("http", "proxy.example", 3128)


@given(st.text(max_size=80))
def test_any_text_is_a_url_or_none(text):
    masked(text)
    found = address("http://" + text)
    assert found is None or 0 < found.port < 65536


def test_apt_settings_in_both_notations():
    text = 'A::B "1"; A { B "2"; c { D "x;{}"; }; E::f "3"; List { "--one"; }; };\n/* A::B "9"; */ # x\n// y\nG h; "unended'
    assert apt_settings(text) == [("a::b", "1"), ("a::b", "2"), ("a::c::d", "x;{}"), ("a::e::f", "3"), ("g", "h")]


def proxies(tmp_path, text, **environment):
    return Proxies(Tree(str(write(tmp_path, {"/etc/apt/apt.conf": text}))), environment)


def test_apt_takes_the_hosts_own_setting_first_and_http_for_https(tmp_path):
    found = proxies(tmp_path, 'Acquire::http::Proxy "http://a"; Acquire::http::Proxy::x.example "http://b";')
    assert found.for_apt("http", "x.example") == "http://b"
    assert found.for_apt("https", "y.example") == "http://a"


def test_apt_with_a_program_that_finds_the_proxy_is_not_known(tmp_path):
    assert proxies(tmp_path, 'Acquire::http::Proxy-Auto-Detect "/bin/x";').for_apt("http", "h") is None


@pytest.mark.parametrize(("no_proxy", "proxy"), [("example", ""), (".h.example", ""), ("*", ""), ("ample", "http://p")])
def test_no_proxy_names_whole_domains(no_proxy, proxy, tmp_path):
    found = proxies(tmp_path, "", http_proxy="http://p", no_proxy=no_proxy)
    assert found.for_pip("http", "h.example") == proxy
