import { suite } from './suite.js';
import { v8 } from './v8.js';

suite('Alipay, V8', 'alipay', 'alipay', v8());
