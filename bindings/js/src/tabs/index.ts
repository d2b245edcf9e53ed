export { type ShareOptions, type TabSharing, shareTabs } from './share.js';
