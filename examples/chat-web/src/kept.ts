import { useState } from 'react';

/** The key of what a user keeps of a room, or without one the beginning of all such keys: no other user's are spelt like it. */
export const keyOf = (what: string, user: string, room = ''): string => `${what}.${encodeURIComponent(user)}/${room}`;

/** Reads a value that this browser keeps. */
export function read<T>(key: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(`moorline-chat.${key}`);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

/** Keeps a value in this browser, where it may. */
export function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(`moorline-chat.${key}`, JSON.stringify(value));
  } catch {
    // A private window: the value lasts as long as the page.
  }
}

/** Forgets all values whose keys begin like this. */
export function forget(beginning: string): void {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(`moorline-chat.${beginning}`)) localStorage.removeItem(key);
  } catch {
    // There was nothing.
  }
}

/** A text that this tab keeps: another one can be somebody else. */
export function useTabText(key: string): [string, (value: string) => void] {
  const [value, set] = useState(() => sessionStorage.getItem(key) ?? '');
  return [
    value,
    (next) => {
      sessionStorage.setItem(key, next);
      set(next);
    },
  ];
}
