import { describe } from 'vitest';
import { background } from '../platforms/background.js';
import { suite } from '../platforms/suite.js';
import { v8 } from '../platforms/v8.js';
import { emptyApp } from './frame.js';

const boot = v8(false, { __serviceLayer: emptyApp });

suite('uni-app, an app over its own service layer, V8', 'uni', 'uni-frame', boot);
describe('in the background', () => background('uni', 'uni-frame', boot));
