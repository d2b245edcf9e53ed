// As metro.config.js, for an engine without a native side: test/react-native.js stands for React Native.
const path = require('node:path');
const { mergeConfig } = require('@react-native/metro-config');
const config = require('./metro.config');

module.exports = mergeConfig(config, {
  resolver: {
    resolveRequest: (context, name, platform) =>
      name === 'react-native'
        ? { type: 'sourceFile', filePath: path.resolve(__dirname, 'test/react-native.js') }
        : context.resolveRequest(context, name, platform),
  },
  serializer: { getModulesRunBeforeMainModule: () => [], getPolyfills: () => [] },
});
