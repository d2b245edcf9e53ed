import { suite } from './suite.js';
import { v8 } from './v8.js';

suite('React Native, V8', 'react-native', 'react-native', v8());
