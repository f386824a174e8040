import type { TemplateExample } from '@backstage/plugin-scaffolder-node';

export const examples: TemplateExample[] = [
  {
    description: 'Check an order, and fail where something is wrong',
    example: `steps:
  - id: validate
    name: Check the order
    action: vdb:validate
    input:
      name: \${{ parameters.name }}
      owner: group:default/team-orders
      source: 10.0.1.54:largedb
      database: largedb
      user: app
`,
  },
  {
    description: 'Show what is wrong and go on',
    example: `steps:
  - id: validate
    name: Check the order
    action: vdb:validate
    input:
      name: \${{ parameters.name }}
      owner: group:default/team-orders
      source: 10.0.1.54:largedb
      database: largedb
      user: app
      reportOnly: true
`,
  },
];
