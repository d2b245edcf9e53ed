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
