import { suite } from './suite.js';
import { v8 } from './v8.js';

suite('WeChat, V8 with WXWebAssembly', 'wechat', 'wechat', v8(true));
