import { suite } from './suite.js';
import { v8 } from './v8.js';

suite('uni-app on Alipay, V8', 'uni', 'uni-alipay', v8());
