package dev.moorline

import dev.moorline.ffi.FfiChannel
import dev.moorline.ffi.FfiEvent
import dev.moorline.ffi.FfiMember
import dev.moorline.ffi.FfiMemberEvent
import dev.moorline.ffi.FfiPresence
import dev.moorline.internal.core
import dev.moorline.internal.readerFlow
import kotlin.time.Instant
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.distinctUntilChanged
import kotlinx.coroutines.flow.map

/** Whether a channel's members are watched while it is read. */
public enum class Presence {
    /** They are not. */
    Off,

    /** They are, without being seen. */
    Watch,

    /** They are, and this user is one of them. */
    Join,
}

/** A member of a channel: a user, whatever the number of its devices. */
public data class Member(
    /** Who. */
    public val user: String,
    /** What it says about itself: JSON of at most 4,096 bytes, if anything. */
    public val state: Payload.JsonText?,
    /** Since when; by this device's clock if it came while this client watched. */
    public val since: Instant,
)

/** The members of a channel at one moment. */
public data class MemberList(
    /** How many there are; null until that is known, and where the channel is not read with presence. */
    public val count: Long?,
    /** All, in the order of their names; null until they are known, and where they are more than 200: then [Members.page] reads them. */
    public val members: List<Member>?,
)

/** What happened to a member. */
public data class MemberChange(
    /** What. */
    public val event: MemberEvent,
    /** To whom. */
    public val user: String,
    /** What it says about itself now. */
    public val state: Payload.JsonText?,
)

/** What can happen to a member. */
public enum class MemberEvent {
    /** It is new. */
    Join,

    /** It left, or its connection closed and it did not come back within 15 s. */
    Leave,

    /** Nothing was heard of it any more. */
    Timeout,

    /** It is there again, soon after a timeout. */
    Back,

    /** What it says about itself changed. */
    Update,

    /** Something that this version does not know. */
    Other,
}

/** What changed among the members. */
public data class MembersChange(
    /** How many there are now. */
    public val count: Long,
    /** What is different, in order. Nothing while there are more than 200, and after a burst that nobody collected in time. */
    public val changes: List<MemberChange>,
    /** Whether this comes of a new look at all members: at the beginning, after a reconnect. Then [changes] is against what was known before. */
    public val isSnapshot: Boolean,
)

/** Some members of a channel, in the order of their names. */
public data class MembersPage(
    /** How many there are in all. */
    public val count: Long,
    /** These: at most 200. */
    public val members: List<Member>,
    /** What [Members.page] takes for the next ones; null if there are none. */
    public val cursor: String?,
)

/** Who is in a channel: [Channel.members]. Its functions may be called from any thread. */
public class Members internal constructor(private val client: Moorline, private val channel: FfiChannel) {
    private val presence: FfiPresence by lazy { channel.presence() }

    /** The members as far as they are known at this moment, to this channel or another handle on it. */
    public val current: MemberList get() = core { presence.members() }.let { list ->
        MemberList(list.count?.toLong(), list.list?.map { it.toMember() })
    }

    /**
     * What changes, from now on; cold. The channel is read as long as it is collected. What a slow collector does not take is told
     * as one.
     *
     * Collecting throws [MoorlineException] if the server refuses; it ends when the channel is left or the client closed.
     */
    public val changes: Flow<MembersChange> = readerFlow({ client.start { presence.changes() } }) { event ->
        (event as? FfiEvent.Members)?.let { members ->
            val changes = members.changes.map { MemberChange(it.event.toEvent(), it.user, it.state?.let(Payload::JsonText)) }
            MembersChange(members.count.toLong(), changes, members.snapshot)
        }
    }

    /** The members, whenever they change; cold. A slow collector gets the newest list. Fails and ends as [changes] does. */
    public val lists: Flow<MemberList> = changes.conflate().map { current }.distinctUntilChanged()

    /**
     * Becomes a member, and reads the channel. After a reconnect that happens again by itself. Returns when the server has answered;
     * cancelling stops the wait alone.
     *
     * @param state What this member says about itself: [Payload.json], at most 4,096 bytes.
     * @throws MoorlineException what the server answers, such as `channel.denied`; `channel.not_subscribed` where the channel is not
     *   read with [Presence.Watch] or [Presence.Join]; `request.malformed` for a state that is no JSON.
     */
    public suspend fun enter(state: Payload): Unit = json(state).let { client.start { presence.enter(it) } }

    /** Changes what this member says about itself. As [enter]; `request.order` for who is no member. */
    public suspend fun update(state: Payload): Unit = json(state).let { client.start { presence.update(it) } }

    /** Stops being a member; the channel is read on. Fails as [enter] does. */
    public suspend fun leave(): Unit = client.start { presence.leave() }

    /**
     * Asks the server for members, whether the channel is read or not: the first 200, or those from a cursor on.
     *
     * @throws MoorlineException what the server answers, such as `channel.denied`.
     */
    public suspend fun page(cursor: String? = null): MembersPage = client.start { presence.page(cursor) }.let { page ->
        MembersPage(page.count.toLong(), page.members.map { it.toMember() }, page.cursor)
    }

    private fun json(state: Payload): String = (state as? Payload.JsonText)?.json ?: throw Failure.malformed("a member's state is JSON: Payload.json(…)")
}

private fun FfiMember.toMember() = Member(user, state?.let(Payload::JsonText), Instant.fromEpochMilliseconds(sinceMs.toLong()))

private fun FfiMemberEvent.toEvent() = when (this) {
    FfiMemberEvent.JOIN -> MemberEvent.Join
    FfiMemberEvent.LEAVE -> MemberEvent.Leave
    FfiMemberEvent.TIMEOUT -> MemberEvent.Timeout
    FfiMemberEvent.BACK -> MemberEvent.Back
    FfiMemberEvent.UPDATE -> MemberEvent.Update
    FfiMemberEvent.OTHER -> MemberEvent.Other
}
