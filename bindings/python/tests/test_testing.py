"""The kit for the tests of apps, and what the README says of it."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import moorline
from moorline.testing import FaultProxy, TestServer


async def test_the_readme_s_example_passes():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "bindings/python/README.md").read_text(), re.S)
    examples = [block for block in blocks if "moorline.testing" in block]
    assert len(examples) == 1
    names: dict[str, Any] = {}
    exec(examples[0], names)
    await names["test_a_cut_loses_nothing"]()


async def test_a_server_outlives_a_kill_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with TestServer() as server:
        async with moorline.Client(server.url, token=server.token("alice"), min_backoff=0.05) as alice:
            first = await alice.channel("room:1").publish("kept").stored()
            with pytest.raises(RuntimeError, match="running"):
                server.start()
            port = server.port
            server.kill()
            server.kill()
            server.start()
            assert server.port == port
            assert (await alice.channel("room:1").publish("more").stored()).offset == (first.offset or 0) + 1
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
    server.close()


async def test_without_dev_only_real_tokens_count():
    with TestServer(dev=False) as server:
        async with moorline.Client(server.url, token="dev:alice") as forged:
            with pytest.raises(moorline.AuthError):
                await forged.connect()
        async with moorline.Client(server.url, token=server.token("alice", channels="room:*")) as alice:
            await alice.connect()
            assert alice.user == "alice"


def test_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="MOORLINE_SERVER"):
        TestServer(program=tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="nonsense"):
        TestServer("[nonsense]\n")
    assert list(tmp_path.iterdir()) == []
    for url in ("wss://example.com/ws", "http://127.0.0.1:1", "127.0.0.1:8000", ""):
        with pytest.raises(ValueError, match="ws://HOST:PORT"):
            FaultProxy(url)
    with pytest.raises(RuntimeError, match="async with"):
        FaultProxy("ws://127.0.0.1:1/ws").url  # noqa: B018
