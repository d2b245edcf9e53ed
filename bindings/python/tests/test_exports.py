"""What the package exports, and what it is typed as: both frozen."""

import inspect
import subprocess
import sys
from pathlib import Path

import moorline

EXPORTED = """
Acked AuthError Channel Client ClosedError Connection ContinuityError Dropped Event HistoryPage InternalError Json Last
LimitError Member MemberChange Members MembersChange MembersPage Message MoorlineError Outbox Position Presence Receipt
RejectedError Reset Status Stored Stream Subscribed Time TransportError
"""
MEMBERS = {
    moorline.Client: "blackbox call channel close connect connection disconnect lifecycle network outbox outboxes restored set_push_handle state states status user watch_status",
    moorline.Channel: "ack events history leave messages name publish",
    moorline.Presence: "changes enter leave members page update",
    moorline.Receipt: "channel error id queued state states stored",
    moorline.Stream: "aclose",
    moorline.Message: "bytes data position text",
}


def test_exports_are_frozen():
    assert moorline.__all__ == EXPORTED.split()
    assert all(hasattr(moorline, name) for name in moorline.__all__)


def test_members_are_frozen():
    for kind, expected in MEMBERS.items():
        assert [name for name in sorted(vars(kind)) if not name.startswith("_") and not name.startswith("__") and name not in kind.__annotations__] == expected.split()


def test_every_public_member_says_what_it_does_and_names_nothing_generated():
    for name in moorline.__all__:
        thing = getattr(moorline, name)
        if not inspect.isclass(thing):
            continue
        assert thing.__doc__, name
        for member, value in vars(thing).items():
            function = value.fget if isinstance(value, property) else value
            if member.startswith("_") or not inspect.isfunction(function):
                continue
            assert function.__doc__, f"{name}.{member}"
            assert "Ffi" not in str(inspect.signature(function)), f"{name}.{member}"


WRONG = """
import moorline
client = moorline.Client("ws://x")
client.channel("room", qos=3)
client.channel("room", presence="maybe")
client.lifecycle("sleep")
client.channel("room").publish(object())
client.channel("room").history(before="x")
client.state = "online"
moorline.Client()
"""
RIGHT = """
import moorline

async def main() -> None:
    async with moorline.Client("ws://x", token="dev:alice") as client:
        room = client.channel("room", qos=2, durable=True, presence="join", state={"nick": "Al"})
        stored: moorline.Stored = await room.publish({"a": [1, None]}).stored()
        async for message in room.messages():
            offset: int | None = message.offset
        async for event in room.events():
            if isinstance(event, moorline.Reset):
                print(event.reason, stored, offset)
"""


def test_wrong_calls_are_type_errors(tmp_path: Path):
    for name, text, wrong in (("wrong.py", WRONG, 7), ("right.py", RIGHT, 0)):
        (tmp_path / name).write_text(text)
        command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path), str(tmp_path / name)]
        found = subprocess.run(command, capture_output=True, text=True)
        lines = {line.split(":")[1] for line in found.stdout.splitlines() if ": error:" in line}
        assert len(lines) == wrong, found.stdout


def test_import_starts_nothing():
    code = "import threading, sys, moorline; sys.exit(threading.active_count() - 1 or 'asyncio.events' in sys.modules and 0)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_rule_of_the_house_is_broken():
    for path in (Path(moorline.__file__).parent).glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 300, path.name
        for word in ("except Exception", "except BaseException", "get_event_loop", "print("):
            assert word not in text, f"{path.name}: {word}"
