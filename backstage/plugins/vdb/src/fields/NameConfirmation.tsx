import { parseEntityRef } from '@backstage/catalog-model';
import {
  createFormField,
  type FormFieldExtensionData,
} from '@backstage/plugin-scaffolder-react/alpha';
import { TextField } from '@backstage/ui';

/** The name that has to be typed: that of the entity chosen in the same form. */
export function expectedName(entity: unknown): string | undefined {
  if (typeof entity !== 'string' || entity === '') {
    return undefined;
  }
  try {
    return parseEntityRef(entity, { defaultKind: 'resource' }).name;
  } catch {
    return undefined;
  }
}

/** What is wrong with the typed name; undefined if nothing is. */
export function mismatch(typed: string, entity: unknown): string | undefined {
  const expected = expectedName(entity);
  if (expected === undefined) {
    return 'choose a database first';
  }
  return typed === expected ? undefined : `type ${expected} to go on`;
}

const component: FormFieldExtensionData['component'] = props => (
  <TextField
    name="confirmation"
    label={props.schema.title}
    description={props.schema.description}
    isRequired={props.required}
    // The browser's own validation would refuse to submit for as long as the last answer stands.
    validationBehavior="aria"
    isInvalid={(props.rawErrors ?? []).length > 0}
    value={typeof props.formData === 'string' ? props.formData : ''}
    onChange={text => props.onChange(text === '' ? undefined : text)}
  />
);

/**
 * A text field that wants the chosen entity's name again. Templates that name it still work where it is not
 * installed: they show a plain field, and the step refuses another name.
 */
export const nameConfirmation = createFormField({
  name: 'VdbNameConfirmation',
  component,
  validation: (typed, field, { formData }) => {
    const wrong = mismatch(String(typed ?? ''), formData.entity);
    if (wrong) {
      field.addError(wrong);
    }
  },
});
