import { suite } from './suite.js';
import { hermes } from './hermes.js';

suite('React Native, Hermes 0.12', 'react-native', 'react-native', hermes, 120_000);
