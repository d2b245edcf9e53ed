import { rmSync, writeFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Lab, launch } from '../browser/harness.js';
import { appWith, install, opened, run } from './packed.js';

const dependencies = { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1' };

// It fetches Next from npm, and takes minutes: `cargo xtask browsers --next`.
test.runIf(process.env['MOORLINE_NEXT'])('Next prerenders a page with a client, and the page receives', async () => {
  const app = appWith('next');
  writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true, dependencies }));
  await run('npm', ['install', '--no-audit', '--no-fund'], { cwd: app });
  await install(app);
  await run('npx', ['next', 'build'], { cwd: app, env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' } });
  expect(readFileSync(join(app, 'out', 'index.html'), 'utf8')).toContain('idle');
  const [lab, browser] = [await Lab.start(), await launch('chromium')];
  expect(await opened(lab, browser, join(app, 'out'), '')).toBe('hi');
  await browser.close();
  await lab.close();
  rmSync(app, { recursive: true, force: true });
}, 600_000);
