/**
 * A clock of the time of day that does not go back: mini-programs have no other everywhere, and one that stands still while the app
 * is suspended would hide that it was. Set back, it goes on from where it was.
 */
export function steadyClock(wall: () => number = () => Date.now()): () => number {
  let last = wall();
  let ahead = 0;
  return () => {
    const now = wall();
    if (now < last) ahead += last - now;
    last = now;
    return now + ahead;
  };
}
