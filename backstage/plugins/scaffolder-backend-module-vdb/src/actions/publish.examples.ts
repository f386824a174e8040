import type { TemplateExample } from '@backstage/plugin-scaffolder-node';

export const examples: TemplateExample[] = [
  {
    description: 'Order a copy of largedb',
    example: `steps:
  - id: publish
    name: Open the pull request
    action: vdb:publish
    input:
      name: \${{ parameters.name }}
      owner: group:default/team-orders
      source: 10.0.1.54:largedb
      database: largedb
      user: app
`,
  },
  {
    description:
      'Order it with settings, and SQL that runs before anybody gets in',
    example: `steps:
  - id: publish
    name: Open the pull request
    action: vdb:publish
    input:
      name: feat-123
      owner: group:default/team-orders
      source: 10.0.1.54:largedb
      database: largedb
      user: app
      memory: 1Gi
      postgresConfig:
        - name: work_mem
          value: 64MB
      initSql: UPDATE customers SET email = 'nobody@example.com';
`,
  },
];
