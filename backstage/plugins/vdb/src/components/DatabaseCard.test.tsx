import type { Entity } from '@backstage/catalog-model';
import { renderInTestApp, TestApiProvider } from '@backstage/frontend-test-utils';
import { EntityProvider } from '@backstage/plugin-catalog-react';
import type { Environment } from '@postgres-vdb-platform/backstage-plugin-vdb-common';
import { act, screen, within } from '@testing-library/react';
import { vdbApiRef } from '../api/client';
import { ready } from '../testing/data';
import { DatabaseCard } from './DatabaseCard';

const show = async (
  annotations: Record<string, string>,
  found: Environment = ready,
) => {
  const environment = jest.fn(async (_name: string) => found);
  const entity: Entity = {
    apiVersion: 'backstage.io/v1alpha1',
    kind: 'Resource',
    metadata: { name: 'feat-1', namespace: 'default', annotations },
    spec: { type: 'database' },
  };
  await act(async () => {
    renderInTestApp(
      <TestApiProvider apis={[[vdbApiRef, { environment }]]}>
        <EntityProvider entity={entity}>
          <DatabaseCard />
        </EntityProvider>
      </TestApiProvider>,
    );
  });
  return environment;
};

const tied = { 'postgres-vdb-platform/environment': 'feat-1' };

it('asks for the environment of the annotation', async () => {
  const environment = await show(tied);
  await screen.findByTestId('vdb-environment');
  expect(environment.mock.calls[0]?.[0]).toBe('feat-1');
});

it.each(['update', 'extend', 'retire'])(
  'offers to %s it, with the database filled in',
  async action => {
    await show(tied);
    await screen.findByTestId('vdb-environment');
    const button = screen.getByTestId(`vdb-${action}`);
    const href = button.getAttribute('href') ?? '';
    const { pathname, searchParams } = new URL(href, 'http://portal');
    expect(pathname).toBe(`/create/templates/default/vdb-${action}`);
    expect(JSON.parse(searchParams.get('formData') ?? '')).toEqual({
      entity: 'resource:default/feat-1',
    });
  },
);

it.each([
  ['refresh', 'the operator cannot refresh yet; order it again'],
  ['bookmark', 'the operator cannot keep bookmarks yet'],
])('says why it cannot %s it', async (action, why) => {
  await show(tied);
  await screen.findByTestId('vdb-environment');
  const shown = screen.getByTestId(`vdb-${action}`);
  expect(shown).toHaveAttribute('title', why);
  const button = within(shown).getByRole('button');
  expect(button).toBeDisabled();
  expect(button).toHaveAccessibleDescription(why);
  expect(shown).not.toHaveAttribute('href');
});

it('offers everything where the platform has not said what it cannot do', async () => {
  await show(tied, { ...ready, capabilities: undefined });
  await screen.findByTestId('vdb-environment');
  const actions = within(screen.getByRole('group', { name: 'Actions' }));
  expect(actions.getAllByRole('link').map(link => link.textContent)).toEqual([
    'Update',
    'Refresh',
    'Extend',
    'Bookmark',
    'Retire',
  ]);
});

it('an entity without the annotation is told apart', async () => {
  const environment = await show({});
  expect(await screen.findByTestId('vdb-no-environment')).toBeInTheDocument();
  expect(environment).not.toHaveBeenCalled();
  expect(screen.queryByTestId('vdb-retire')).toBeNull();
});
