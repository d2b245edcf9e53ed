// What the app uses of React Native, where there is no native side: elements are names.
module.exports = {
  ...globalThis.__reactNative,
  Pressable: 'Pressable',
  SafeAreaView: 'SafeAreaView',
  ScrollView: 'ScrollView',
  Text: 'Text',
  TextInput: 'TextInput',
  View: 'View',
  StyleSheet: { create: (styles) => styles },
};
