import type { TemplateExample } from '@backstage/plugin-scaffolder-node';

export const examples: TemplateExample[] = [
  {
    description: 'Show what would be written',
    example: `steps:
  - id: render
    name: Write the values
    action: vdb:render
    input:
      name: \${{ parameters.name }}
      owner: group:default/team-orders
      source: 10.0.1.54:largedb
      database: largedb
      user: app
`,
  },
];
