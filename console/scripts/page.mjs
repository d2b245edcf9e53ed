// Makes the console one file, as `moorline-server` has it: `node scripts/page.mjs`, or with `--check` tells whether the
// committed one is what these sources give.
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { oneFile } from '../../bindings/js/scripts/onefile.mjs';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/.$/, '');

await oneFile({ build, root, folder: 'console', name: 'console' });
