import { createClient } from 'moorline';
import { type TabSharing, shareTabs } from 'moorline/tabs';
import { describe, expectTypeOf, test } from 'vitest';

const url = 'ws://127.0.0.1/ws';

describe('what an app with several tabs types', () => {
  test('is an option of the client', () => {
    expectTypeOf(shareTabs()).toEqualTypeOf<TabSharing>();
    createClient({ url, tabs: shareTabs() });
    createClient({ url, token: async () => 'token', tabs: shareTabs('alice') });
  });

  test('wrong uses do not compile', () => {
    // @ts-expect-error it is called: what it returns is the option
    createClient({ url, tabs: shareTabs });
    // @ts-expect-error there is no switch: what is not imported is not in the bundle
    createClient({ url, tabs: true });
    // @ts-expect-error the user is known by a name
    shareTabs({ user: 'alice' });
    // @ts-expect-error the user is known by a name
    shareTabs(7);
  });
});
