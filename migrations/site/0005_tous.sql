-- tous@: every active member. Only those who speak for the federation may write.
create view lists.tous as
select m.email, m.full_name as name, m.lang, m.id::text as person
  from club.member m
 where m.active;

create view lists.tous_authors as
select email from lists.committee_role
 where committee = 'comite' and role in ('president', 'secretaire', 'communication');

select lists.define(
    view    => 'lists.tous',
    address => 'tous',
    title   => 'Tous les licenciés',
    why     => 'comme licencié de la fédération',
    form    => 'announcement',              -- From the list, To each member by name
    post    => 'lists.tous_authors');
