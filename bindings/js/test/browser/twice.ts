// A page with two versions of the package: its own, and one that a script of somebody else brings along.
import * as own from 'moorline';

/** Lets a client of each version write and read, and returns what both were told. */
async function twice(other: string, url: string, user: string): Promise<unknown> {
  const foreign = (await import(other)) as typeof own;
  const told = [own, foreign].map(({ createClient }) => {
    // Both with the default store: it belongs to the first of them.
    const client = createClient({ url, token: `dev:${user}` });
    return { client, room: client.channel(`room:${user}`, { since: 'first' }), seen: [] as unknown[] };
  });
  const all = Promise.all(
    told.map(({ room, seen }) => new Promise<void>((resolve) => void room.on('message', (message) => void (seen.push(message.text) === 2 && resolve())))),
  );
  const codes: unknown[] = [];
  for (const [at, { room }] of told.entries()) {
    await room.publish(`from ${at}`, { qos: 2 }).stored;
    try {
      room.publish(undefined);
    } catch (error) {
      codes.push([own, foreign].map(({ isMoorlineError }) => isMoorlineError(error) && error.code));
    }
  }
  await all;
  // The other one can clear it once it is free.
  for (const { client } of told) await client.close({ wipe: true });
  return { versions: [own.version === foreign.version, foreign.version], seen: told.map(({ seen }) => seen), codes };
}

Object.assign(globalThis, { twice });
