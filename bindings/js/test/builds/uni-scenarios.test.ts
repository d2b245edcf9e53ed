import { suite } from '../platforms/suite.js';
import { v8 } from '../platforms/v8.js';
import { emptyApp } from './frame.js';

suite('uni-app, an app over its own service layer, V8', 'uni', 'uni-frame', v8(false, { __serviceLayer: emptyApp }));
