module.exports = require('@backstage/cli/config/eslint-factory')(__dirname, {
  rules: {
    // Files read from the top: the component first, then the parts that it is made of.
    '@typescript-eslint/no-use-before-define': [
      'error',
      { functions: false, variables: false },
    ],
  },
});
