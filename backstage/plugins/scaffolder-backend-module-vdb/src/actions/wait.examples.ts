import type { TemplateExample } from '@backstage/plugin-scaffolder-node';

export const examples: TemplateExample[] = [
  {
    description: 'Wait a moment, and leave the rest to the notification',
    example: `steps:
  - id: wait
    name: Wait for the database
    action: vdb:wait
    input:
      requestId: \${{ steps.publish.output.requestId }}
      timeoutSeconds: 5
`,
  },
  {
    description: 'Wait up to ten minutes',
    example: `steps:
  - id: wait
    name: Wait for the database
    action: vdb:wait
    input:
      requestId: \${{ steps.publish.output.requestId }}
      timeoutSeconds: 600
`,
  },
];
