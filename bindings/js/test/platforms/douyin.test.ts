import { suite } from './suite.js';
import { v8 } from './v8.js';

suite('Douyin, V8 with TTWebAssembly', 'douyin', 'douyin', v8(true));
