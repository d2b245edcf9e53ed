import { useState } from 'react';

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

/** State that this browser keeps. */
export function useKept<T>(key: string, otherwise: T): [T, (value: T) => void] {
  const [value, set] = useState(() => read(key, otherwise));
  return [
    value,
    (next) => {
      write(key, next);
      set(next);
    },
  ];
}
