"""Asks the bot, kills it, asks again: each question has one answer. `MOORLINE_SERVER=… python test_bot.py`"""

import asyncio
import os
import re
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import moorline

BOT = Path(__file__).with_name("bot.py")


async def start_server() -> tuple[Process, str]:
    server = await asyncio.create_subprocess_exec(
        os.environ["MOORLINE_SERVER"], "--dev", "--listen", "127.0.0.1:0", "--engine", "memory", stdout=PIPE, stderr=PIPE
    )
    assert server.stdout is not None
    while line := await server.stdout.readline():
        if found := re.search(rb"ws://127\.0\.0\.1:[1-9]\d*/ws", line):
            return server, found[0].decode()
    raise AssertionError("the server ended")


async def main(folder: Path) -> None:
    server, url = await start_server()

    async def bot() -> Process:
        return await asyncio.create_subprocess_exec(sys.executable, BOT, "--url", url, "--store", folder / "bot.moor")

    async with asyncio.timeout(60), moorline.Client(url, token="dev:alice") as alice:
        room = alice.channel("room:42", presence="watch", since="first")
        changes, messages = room.presence.changes(), room.messages()
        running = await bot()
        async for change in changes:
            if any(member.user == "bot" for member in room.presence.members.list or ()):
                break
        for question in ("!ping", "!add 1 2 3", "!add x"):
            room.publish(question)
        running_answers = [await said(messages, "bot") for _ in range(3)]
        assert running_answers == ["pong", "6", "!add takes whole numbers"], running_answers
        running.kill()
        await running.wait()
        await room.publish("!add 40 2").stored()
        running = await bot()
        assert await said(messages, "bot") == "42"
        running.terminate()
        assert await running.wait() == 0
        answers = [message.text for message in (await room.history()).messages if message.user == "bot"]
        assert answers == ["pong", "6", "!add takes whole numbers", "42"], answers
    server.kill()
    await server.wait()


async def said(messages: moorline.Stream[moorline.Message], user: str) -> str | None:
    async for message in messages:
        if message.user == user:
            return message.text
    raise AssertionError("the channel ended")


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
print("test result: ok. 1 passed; 0 failed")
