package dev.moorline.scenarios

import dev.moorline.ConnectionState
import dev.moorline.MemberEvent
import dev.moorline.MemberList
import dev.moorline.MembersChange
import dev.moorline.Payload
import dev.moorline.Presence
import dev.moorline.Status
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class PeopleScenarios : Lab() {
    @Test
    fun `shows who joins, changes and leaves`() = scenario {
        val name = channel()
        val watcher = client("bob").channel(name, presence = Presence.Watch)
        val changes = Channel<MembersChange>()
        val watching = launch { watcher.members.changes.collect { changes.send(it) } }
        suspend fun next(): MemberEvent {
            while (true) changes.receive().changes.singleOrNull()?.let { return it.event }
        }
        assertEquals(MemberList(0, emptyList()), watcher.members.lists.first { it.count != null })
        val alice = client("alice").channel(name, presence = Presence.Join, state = Payload.json(mapOf("nick" to "Al")))
        val reading = launch { alice.messages.collect {} }
        assertEquals(MemberEvent.Join, next())
        alice.members.update(Payload.json(mapOf("nick" to "Bo")))
        assertEquals(MemberEvent.Update, next())
        val member = watcher.members.current.members.orEmpty().single()
        assertEquals(user("alice") to """{"nick":"Bo"}""", member.user to member.state?.json)
        alice.members.leave()
        assertEquals(MemberEvent.Leave, next())
        assertEquals(MemberList(0, emptyList()), watcher.members.current)
        assertEquals(0, client("carol").channel(name).members.page().count)
        watching.cancel()
        reading.cancel()
    }

    @Test
    fun `a first use of the members is a first use of the client`() = scenario {
        val alice = client("alice")
        alice.channel(channel(), presence = Presence.Watch).members.enter(Payload.json(1))
        assertEquals(ConnectionState.Online(user("alice")), alice.reaches<ConnectionState.Online>())
    }

    @Test
    fun `tells who is online, once and from now on`() = scenario {
        val bob = client("bob")
        val dora = user("dora")
        assertEquals(mapOf(dora to Status(false, null)), bob.status(listOf(dora)))
        val told = Channel<Map<String, Status>>()
        val following = launch { bob.statuses(listOf(dora)).collect { told.send(it) } }
        assertEquals(false, told.receive().getValue(dora).isOnline)
        client("dora").connect()
        val status = told.receive().getValue(dora)
        assertTrue(status.isOnline && status.since != null, "$status")
        following.cancel()
    }
}
