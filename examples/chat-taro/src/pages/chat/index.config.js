export default { navigationBarTitleText: 'Moorline' };
