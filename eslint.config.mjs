import jupyter from '@jupyter/eslint-plugin';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

export default [
  {
    ignores: [
      '**/node_modules/**',
      '**/test-results/**',
      '**/playwright-report/**',
      '.venv/**',
      '.demo/**',
      'build/**',
      'dist/**',
      'docs/**',
      'labextension/lib/**',
      'labextension/src/api/openapi.ts', // made by `jlpm types`
      'qwen3ft_jupyter/**'
    ]
  },
  ...tseslint.configs.recommended.map(config => ({ ...config, files: ['**/*.ts', '**/*.tsx'] })),
  { plugins: { jupyter } },
  ...jupyter.configs.recommended.map(config =>
    config.files?.includes('**/*.ts')
      ? { ...config, files: ['labextension/src/**/*.ts', 'labextension/src/**/*.tsx'] }
      : config
  ),
  {
    files: ['labextension/src/**/*.ts', 'labextension/src/**/*.tsx'],
    languageOptions: {
      parserOptions: { project: './tsconfig.test.json', tsconfigRootDir: import.meta.dirname }
    },
    rules: {
      // Our own modules are one small bundle, and activation needs them; other packages are still checked.
      'jupyter/prefer-lazy-imports': ['warn', { ignoreImports: ['./*'] }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-namespace': 'off', // JupyterLab keeps command ids and props in namespaces
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'interface', format: ['PascalCase'], custom: { regex: '^I[A-Z]', match: true } }
      ],
      eqeqeq: 'error',
      'no-console': 'error'
    }
  },
  {
    files: ['labextension/src/**/__tests__/**'],
    rules: {
      // Tests make things for one claim and drop them with the page.
      'jupyter/require-disposable-ownership': 'off',
      'jupyter/require-disposable-transfer': 'off',
      'jupyter/require-signal-cleanup': 'off',
      'jupyter/no-untranslated-string': 'off'
    }
  },
  prettier
];
