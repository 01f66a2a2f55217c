-- club.0440012@: everybody who has a licence of that club this season.
create view lists.club as
select c.number, m.email, m.full_name as name, m.lang, m.id::text as person
  from club.licence l
  join club.club c on c.id = l.club_id
  join club.member m on m.id = l.member_id
 where m.active and l.season = club.season();

select lists.define(
    view    => 'lists.club',
    address => 'club.{number}',
    title   => 'Club {number}',
    why     => 'comme licencié du club {number}',
    post    => 'members');
