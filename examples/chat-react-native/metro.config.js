const path = require('node:path');
const { getDefaultConfig, mergeConfig } = require('@react-native/metro-config');

// The package is linked from this repository; from npm none of this is needed.
const moorline = path.resolve(__dirname, '../../bindings/js');

module.exports = mergeConfig(getDefaultConfig(__dirname), {
  watchFolders: [moorline],
  resolver: { nodeModulesPaths: [path.resolve(__dirname, 'node_modules')] },
});
