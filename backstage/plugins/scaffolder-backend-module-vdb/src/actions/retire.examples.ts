import type { TemplateExample } from '@backstage/plugin-scaffolder-node';

export const examples: TemplateExample[] = [
  {
    description: 'Retire an environment',
    example: `steps:
  - id: retire
    name: Open the pull request
    action: vdb:retire
    input:
      name: feat-123
      reason: The branch is merged
`,
  },
];
