import { useCallback, useEffect, useRef, useState } from 'react';
import { saying } from './api';

/** Something that was asked for. */
export interface Asked<T> {
  readonly value?: T;
  readonly error?: string;
  /** Asks again. */
  readonly again: () => void;
}

/**
 * Asks again and again, every so many ms while the page is seen, and at once when `deps` change. An answer that comes too
 * late is dropped.
 */
export function useAsked<T>(ask: () => Promise<T>, deps: readonly unknown[], every = 0): Asked<T> {
  const [state, setState] = useState<{ value?: T; error?: string }>({});
  const turn = useRef(0);
  const again = useCallback(() => {
    const mine = ++turn.current;
    return ask().then(
      (value) => mine === turn.current && setState({ value }),
      (error: unknown) => mine === turn.current && setState((old) => ({ ...old, error: saying(error) })),
    );
  }, deps);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let isOver = false;
    const run = async (): Promise<void> => {
      if (!document.hidden) await again();
      if (!isOver && every > 0) timer = setTimeout(() => void run(), every);
    };
    setState({});
    void run();
    return () => {
      isOver = true;
      turn.current++;
      clearTimeout(timer);
    };
  }, [again, every]);
  return { ...state, again: () => void again() };
}

/** A text, once nobody has changed it for a moment. */
export function useSettled(text: string, ms = 200): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), ms);
    return () => clearTimeout(timer);
  }, [text, ms]);
  return settled;
}

/** The parts of the address after `#/`. */
export function useRoute(): readonly string[] {
  const read = (): string => location.hash;
  const [hash, setHash] = useState(read);
  useEffect(() => {
    const changed = (): void => setHash(read());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  const plain = (text: string): string => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  };
  return hash.replace(/^#\/?/, '').split('/').map(plain);
}

/** The address of a page. */
export const to = (...parts: readonly string[]): string => `#/${parts.map(encodeURIComponent).join('/')}`;
