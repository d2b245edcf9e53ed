import { suite } from './suite.js';
import { quickjs } from './quickjs.js';

suite('WeChat, QuickJS', 'wechat', 'wechat', quickjs, 120_000);
