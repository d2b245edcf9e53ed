"""A bot that answers each question once, also when it is killed in between.

    python bot.py --url ws://127.0.0.1:8000/ws --token dev:bot --channel room:42
"""

import argparse
import asyncio
import logging
import signal

import moorline

log = logging.getLogger("bot")


def answer(text: str) -> str | None:
    """What the bot says to this, if anything."""
    match text.split():
        case ["!ping"]:
            return "pong"
        case ["!add", *numbers]:
            try:
                return str(sum(int(number) for number in numbers))
            except ValueError:
                return "!add takes whole numbers"
        case _:
            return None


async def run(client: moorline.Client, name: str) -> None:
    """Reads the channel for ever: durable, so that what came while the bot was away is answered, too."""
    room = client.channel(name, durable=True, qos=2, presence="join", state={"bot": True})
    async for message in room.messages():
        reply = answer(message.text or "")
        if reply is None or message.user == client.user:
            continue
        # The answer's id is made of the question's: should the question come again, the answer is stored once.
        receipt = room.publish(reply, id=f"re:{message.id}"[:128], headers={"re": message.id})
        stored = await receipt.stored()
        log.info("%s asked %r: %s%s", message.user, message.text, reply, " (again)" if stored.duplicate else "")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="ws://127.0.0.1:8000/ws")
    parser.add_argument("--token", default="dev:bot")
    parser.add_argument("--channel", default="room:42")
    parser.add_argument("--store", default="bot.moor")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    async with moorline.Client(options.url, token=options.token, store=options.store) as client:
        work = asyncio.ensure_future(run(client, options.channel))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            log.info("goodbye")


if __name__ == "__main__":
    asyncio.run(main())
