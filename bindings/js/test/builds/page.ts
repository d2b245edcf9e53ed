import { type Browser, type Page, chromium } from 'playwright-core';
import type { Item, Screen } from './chats.js';

/** A page that shows the chat. */
export class Tab {
  constructor(readonly page: Page) {}

  /** Looks again and again; each look is a message there and back. */
  async until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
    }
  }
}

export function chromiumHere(): Promise<Browser> {
  return chromium.launch({ executablePath: process.env['MOORLINE_CHROMIUM'] ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
}

/** The chat as the components of uni-app and Taro show it in a page. */
export const screen: Screen<Tab> = {
  isReady: async ({ page }, id) => (await page.locator(`#${id}`).count()) > 0,
  type: ({ page }, id, text) => page.locator(`#${id} input`).fill(text),
  tap: ({ page }, id) => page.locator(`#${id}`).click(),
  banner: async ({ page }) => (await page.locator('#banner').allTextContents())[0]?.trim(),
  items: ({ page }) =>
    page.locator('.item').evaluateAll((items) => {
      const part = (item: { querySelector(selector: string): { textContent: string | null } | null }, name: string): string | undefined => item.querySelector(name)?.textContent?.trim();
      return items.map((item) => ({ who: part(item, '.who')!, text: part(item, '.text')!, receipt: part(item, '.receipt') }));
    }) as Promise<Item[]>,
};
