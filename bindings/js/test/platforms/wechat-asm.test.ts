import { suite } from './suite.js';
import { v8 } from './v8.js';

// No WXWebAssembly: the core in JavaScript steps in.
suite('WeChat, V8', 'wechat', 'wechat', v8());
