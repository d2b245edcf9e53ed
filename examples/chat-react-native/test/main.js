// The app for a JavaScript engine alone: React draws its screen into objects, and `__screen` looks at it and touches it.
import { createElement } from 'react';
import { create } from 'react-test-renderer';
import App from '../src/App';

const tree = create(createElement(App));
const find = (id) => tree.root.findAll((node) => typeof node.type === 'string' && node.props.testID === id);
const textOf = (node) => (typeof node === 'string' ? node : node.children.map(textOf).join(''));

globalThis.__screen = {
  has: (id) => find(id).length > 0,
  type: (id, text) => find(id)[0].props.onChangeText(text),
  tap: (id) => find(id)[0].props.onPress(),
  texts: (id) => find(id).map(textOf),
  items: () =>
    find('item').map((item) => {
      const [who, text, receipt] = item.children.map(textOf);
      return { who, text, receipt };
    }),
};
