import { suite } from './suite.js';
import { v8 } from './v8.js';

suite('uni-app, an app, V8', 'uni', 'uni-app', v8());
