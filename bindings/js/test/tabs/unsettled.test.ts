import { expect, test } from 'vitest';
import * as calls from '../../src/core/calls.js';
import { Writer } from '../../src/core/writer.js';
import { payloadOf } from '../../src/payload.js';
import { Unsettled } from '../../src/tabs/unsettled.js';

function bytesOf(call: calls.Call): Uint8Array {
  const writer = new Writer();
  call(writer);
  return writer.view().slice();
}

const call = bytesOf(calls.call('cart.add', payloadOf(1), { timeout: undefined, id: undefined }));
const history = bytesOf(calls.history('room:1', [0], undefined));
const standing = { messages: 0, bytes: 0, nextAttempt: 0, isLasting: true };
const room = { messages: 10, bytes: 1000 };
const publish = (qos: number): Uint8Array => bytesOf(calls.publish('room:1', payloadOf('x'), { qos, id: 'm', ttl: undefined, headers: [] }));

test('a message that one leader was told of is offered to the next as such, and not at all at QoS 0', () => {
  const unsettled = new Unsettled();
  const [kept, live, later] = [unsettled.publish(1, publish(1), standing, room), unsettled.publish(2, publish(0), standing, room), unsettled.publish(3, publish(0), standing, room)];
  unsettled.onSaid([kept, live]);
  expect(unsettled.lost()).toEqual([2]);
  expect(unsettled.calls()).toEqual([{ ...kept, isAgain: true }, later]);
});

test('a call that a leader was told of is uncertain with the next one, and not made again', () => {
  const unsettled = new Unsettled();
  const said = [unsettled.ask(1, call), unsettled.ask(2, history)];
  const later = unsettled.ask(3, call);
  unsettled.onSaid(said);
  expect(unsettled.uncertain()).toEqual([1]);
  // What is asked again is what asks for nothing twice, and what nobody was told of.
  expect(unsettled.calls()).toEqual([said[1], later]);
  expect(unsettled.uncertain()).toEqual([]);
});

test('a call that was answered is not uncertain', () => {
  const unsettled = new Unsettled();
  unsettled.onSaid([unsettled.ask(1, call)]);
  unsettled.onRecord(50, 1);
  expect([unsettled.uncertain(), unsettled.calls()]).toEqual([[], []]);
});

test('a member that has changed its state enters with it at the next leader, and not at all once it reads no more', () => {
  const unsettled = new Unsettled();
  const [one, two] = [Uint8Array.of(49), Uint8Array.of(50)];
  unsettled.ask(1, bytesOf(calls.presence('enter', 'room:1', one)));
  unsettled.ask(2, bytesOf(calls.presence('update', 'room:1', two)));
  for (const id of [1, 2]) unsettled.onRecord(45, id);
  expect(unsettled.calls()).toEqual([{ t: 'ask', id: 0, bytes: bytesOf(calls.presence('enter', 'room:1', two)) }]);
  unsettled.leave('room:1');
  expect(unsettled.calls()).toEqual([]);
});
