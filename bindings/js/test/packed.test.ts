import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const here = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));
const readme = readFileSync(here('README.md'), 'utf8');

test('what npm packs has the licences of the repository', () => {
  const answer = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: here(''), encoding: 'utf8' })) as object;
  // npm 11 answers with an object by name, older ones with a list.
  const [{ files }] = Object.values(answer) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) {
    expect(paths).toContain(name);
    expect(readFileSync(here(name), 'utf8')).toBe(readFileSync(here(`../../${name}`), 'utf8'));
  }
  // Beside these, a folder for each entry, for tools that do not read `exports`.
  expect(paths.filter((path) => !/^(dist\/|LICENSE-|README\.md$|([\w-]+\/)*package\.json$)/.test(path))).toEqual([]);
});

test('the README names every entry', () => {
  const { exports } = JSON.parse(readFileSync(here('package.json'), 'utf8')) as { exports: object };
  const rows = readme.slice(readme.indexOf('## Entries')).split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => [...row.split('|')[1]!.matchAll(/`(?:moorline)?(\/[^`]+)?`/g)].map(([, entry = '']) => `.${entry}`));
  expect(named.sort()).toEqual(Object.keys(exports).filter((entry) => entry !== './package.json').sort());
});

test('what the README points to is there, and is no link that a package has not', () => {
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => to!);
  const headings = [...readme.matchAll(/^## (.+)$/gm)].map(([, title]) => `#${title!.toLowerCase().replace(/ /g, '-')}`);
  expect(links.filter((to) => !to.startsWith('https://') && !headings.includes(to))).toEqual([]);
  const files = [...readme.matchAll(/`((?:docs|examples)\/[\w./-]+)`/g)].map(([, path]) => path!);
  expect(files.length).toBeGreaterThan(5);
  expect(files.filter((path) => !existsSync(here(`../../${path}`)))).toEqual([]);
});
