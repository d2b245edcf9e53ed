import { suite } from './suite.js';
import { v8 } from './v8.js';

suite('Taro, V8', 'taro', 'taro', v8());
