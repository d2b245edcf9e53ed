# Made of protocol/src/code.rs by `cargo xtask bindings`. Do not edit.

"""Every code of this version: its number, its class, whether it is retryable."""

from typing import Final

CODES: Final[dict[str, tuple[int, str, bool]]] = {
    # The client is closed.
    "client.closed": (100, "closed", False),
    # There is no token: nobody is signed in.
    "client.signed_out": (101, "auth", False),
    # The store is another user's.
    "client.user": (102, "rejected", False),
    # Another client uses the store.
    "client.store_locked": (103, "rejected", True),
    # The store cannot be read.
    "client.store_corrupt": (104, "rejected", False),
    # The store was written by a newer version.
    "client.store_newer": (105, "rejected", False),
    # The client has nothing to run on.
    "client.runtime": (106, "internal", False),
    # The system gave no random numbers.
    "client.random": (107, "internal", False),
    # TLS cannot be set up.
    "client.tls": (108, "internal", False),
    # This is no certificate.
    "client.certificate": (109, "rejected", False),
    # The message outlived its `ttl` before it was sent.
    "publish.expired": (120, "continuity", False),
    # A message at QoS 0 found no way out at the moment.
    "publish.dropped": (121, "continuity", True),
    # Whether the message was stored cannot be known any more.
    "publish.uncertain": (122, "continuity", False),
    # The call was sent and not answered: it may have been carried out.
    "call.uncertain": (123, "continuity", False),
    # The server cannot be reached.
    "transport.unreachable": (200, "transport", True),
    # No secure connection came about.
    "transport.tls": (201, "transport", True),
    # The address does not open as a WebSocket.
    "transport.upgrade": (202, "transport", True),
    # The server did not answer in time.
    "request.timeout": (210, "transport", True),
    # Another connection of this device took over.
    "connection.displaced": (220, "transport", False),
    # The token is malformed, forged, or meant for someone else.
    "auth.invalid": (300, "auth", False),
    # The token has expired; fetch a new one.
    "auth.expired": (301, "auth", False),
    # The token or its user was revoked.
    "auth.revoked": (302, "auth", False),
    # The bytes are not a frame of this protocol.
    "request.malformed": (400, "rejected", False),
    # The frame is not allowed at this point.
    "request.order": (401, "rejected", False),
    # The server does not know this frame or feature.
    "request.unsupported": (402, "rejected", False),
    # The channel name is not allowed.
    "channel.invalid": (410, "rejected", False),
    # The token does not grant this.
    "channel.denied": (411, "rejected", False),
    # This connection is not subscribed to the channel.
    "channel.not_subscribed": (412, "rejected", False),
    # This connection is subscribed to the channel already.
    "channel.already_subscribed": (413, "rejected", False),
    # A durable cursor needs a named user and a device.
    "channel.not_durable": (414, "rejected", False),
    # The server has no app of this name.
    "app.unknown": (420, "rejected", False),
    # The server or the app has this feature switched off.
    "feature.disabled": (421, "rejected", False),
    # Several installations share one device id.
    "device.conflict": (422, "rejected", False),
    # The app's backend does not answer at the moment.
    "app.unavailable": (423, "rejected", True),
    # The app's backend refused the call.
    "call.refused": (430, "rejected", False),
    # The token does not grant this method.
    "call.denied": (431, "rejected", False),
    # The server failed; it has logged why.
    "server.internal": (500, "internal", True),
    # The log takes no writes at the moment.
    "storage.unavailable": (501, "internal", True),
    # The log has no room left.
    "storage.full": (502, "internal", True),
    # The app's backend takes no calls at the moment; this one was not carried out.
    "call.unavailable": (510, "internal", True),
    # The app's backend failed; it may have carried the call out.
    "call.failed": (511, "internal", False),
    # No answer came in time; the call may have been carried out.
    "call.timeout": (512, "internal", False),
    # A sequence is missing; resend from `expected`.
    "publish.gap": (600, "continuity", True),
    # The id or sequence was used for another message.
    "publish.reused": (601, "continuity", False),
    # A newer connection of this producer exists.
    "publish.fenced": (602, "continuity", False),
    # The server does not know this producer (any more).
    "publish.unknown_producer": (603, "continuity", False),
    # The message is larger than allowed.
    "limit.message": (700, "limit", False),
    # Too many requests; wait `after` ms.
    "limit.rate": (701, "limit", True),
    # Too many channels.
    "limit.channels": (702, "limit", True),
    # Too many connections of this user, or of the app.
    "limit.connections": (703, "limit", True),
    # The outbox is full (client).
    "limit.outbox": (704, "limit", True),
    # Too many calls without an answer.
    "limit.calls": (705, "limit", True),
}
