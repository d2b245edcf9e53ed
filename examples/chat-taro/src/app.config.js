export default {
  pages: ['pages/chat/index'],
  window: { navigationBarTitleText: 'Moorline', navigationBarBackgroundColor: '#ffffff', navigationBarTextStyle: 'black' },
};
