/** The colour of a user, as a hue that a style sheet makes dark or light. */
export function hueOf(user: string): number {
  let hash = 7;
  for (const char of user) hash = (hash * 31 + char.codePointAt(0)!) % 3600;
  return hash / 10;
}

/** One or two letters for a user. */
export function initials(user: string): string {
  const [first = '?', second] = user.split(/[\s._-]+/).filter(Boolean);
  return (second ? [...first][0]! + [...second][0]! : [...first].slice(0, 2).join('')).toUpperCase();
}

/** A style that carries a user's hue. */
export function tint(user: string): React.CSSProperties {
  return { '--hue': hueOf(user) } as React.CSSProperties;
}
